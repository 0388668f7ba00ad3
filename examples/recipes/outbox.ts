// A transactional outbox: the change and its event are committed together, so that no crash can separate them.
import { PGlite } from "@electric-sql/pglite";
import { createHub, isSseError, sse } from "@tidewire/express";
import { redisLog } from "@tidewire/redis";
import express from "express";

type Channels = { orders: { paid: { id: number } } };

// PGlite is PostgreSQL inside this process, so that the program needs no server. The SQL is the same.
const db = await PGlite.create(process.env["DATA_DIR"] ?? "memory://");
await db.exec(`
  create table if not exists orders (
    id bigint generated always as identity primary key,
    item text not null,
    is_paid boolean not null default false
  );
  create table if not exists outbox (
    id bigint generated always as identity primary key,
    channel text not null,
    event text not null,
    data jsonb not null
  );
`);

const redisUrl = process.env["REDIS_URL"];
const hub = createHub<Channels>(
  redisUrl === undefined ? {} : { log: redisLog({ url: redisUrl, key: "outbox-recipe" }) },
);
const app = express();
app.use(sse({ hub }), express.json());

interface OutboxRow {
  readonly id: number;
  readonly channel: "orders";
  readonly event: "paid";
  readonly data: { readonly id: number };
}

/** Publishes the rows of the outbox in order, and deletes each once the log has its event. */
async function publishOutbox(): Promise<void> {
  for (;;) {
    const { rows } = await db.query<OutboxRow>(
      "select id, channel, event, data from outbox order by id limit 100",
    );
    if (rows.length === 0) return;
    for (const { id, channel, event, data } of rows) {
      // A crash before the delete publishes the row again. With the key the log takes it once.
      await hub.publish(channel, { event, data }, { dedupeKey: `outbox:${id}` });
      await db.query("delete from outbox where id = $1", [id]);
    }
  }
}

let publishing: Promise<void> | undefined;

/** Starts to publish, unless that is under way. The timer tries again after a failure. */
function wakeRelay(): void {
  publishing ??= publishOutbox()
    .catch((error: unknown) => {
      // If the log is unavailable, `onError` of the hub has reported that already.
      if (!isSseError(error)) console.error(error);
    })
    .finally(() => (publishing = undefined));
}

const timer = setInterval(wakeRelay, 500);
wakeRelay();

app.post("/orders", async (req, res) => {
  const { item } = req.body as { item: string };
  const { rows } = await db.query("insert into orders (item) values ($1) returning *", [item]);
  res.status(201).json(rows[0]);
});

app.post("/orders/:id/pay", async (req, res) => {
  const id = Number(req.params.id);
  const isFound = await db.transaction(async (tx) => {
    const { affectedRows } = await tx.query(
      "update orders set is_paid = true where id = $1 and not is_paid",
      [id],
    );
    if (affectedRows !== 1) return false;
    await tx.query("insert into outbox (channel, event, data) values ($1, $2, $3)", [
      "orders",
      "paid",
      { id },
    ]);
    return true;
  });
  if (!isFound) return void res.status(404).json({ error: "There is no such unpaid order" });
  wakeRelay();
  res.sendStatus(204);
});

app.get("/orders", (_req, res) => {
  void res.sse.subscribe("orders", {
    snapshot: async () => {
      const { rows } = await db.query("select id, item, is_paid from orders order by id");
      return [{ event: "orders", data: rows }];
    },
  });
});

const port = Number(process.env["PORT"] ?? 3000);
const server = app.listen(port, "127.0.0.1", (error) => {
  if (error) throw error;
  console.log(`http://127.0.0.1:${port}`);
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    clearInterval(timer);
    // Also ends a publish that waits for Redis.
    await hub.close();
    await publishing;
    server.close().closeAllConnections();
    await db.close();
  });
}
