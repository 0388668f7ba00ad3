import { memoryTapes } from "@tidewire/runs";
import { tapesContract } from "./tapes.js";

tapesContract({
  name: "memoryTapes()",
  open: async () => ({ tapes: memoryTapes() }),
});
