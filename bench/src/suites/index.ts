import type { Suite } from "../suite.js";
import { burst } from "./burst.js";
import { catchUp } from "./catch-up.js";
import { channels } from "./channels.js";
import { connect } from "./connect.js";
import { encode } from "./encode.js";
import { extras } from "./extras.js";
import { fanOut } from "./fan-out.js";
import { heartbeat } from "./heartbeat.js";
import { idle } from "./idle.js";
import { loop } from "./loop.js";
import { mixed } from "./mixed.js";
import { read } from "./read.js";
import { redis } from "./redis.js";
import { runs } from "./runs.js";
import { runsRedis } from "./runs-redis.js";
import { turn } from "./turn.js";

/** All suites, in the order in which they run and are shown. */
export const SUITES: readonly Suite[] = [
  fanOut,
  burst,
  turn,
  idle,
  connect,
  channels,
  mixed,
  loop,
  catchUp,
  heartbeat,
  extras,
  encode,
  read,
  redis,
  runs,
  runsRedis,
];
