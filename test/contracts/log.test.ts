import { memoryLog } from "@tidewire/core";
import { logContract } from "./log.js";

logContract({
  name: "memoryLog()",
  open: async () => ({ log: memoryLog() }),
});
