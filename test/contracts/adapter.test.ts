import { adapterContract } from "./adapter.js";
import { BINDINGS } from "./bindings.js";

for (const binding of BINDINGS) adapterContract(binding);
