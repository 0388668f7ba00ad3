/// <reference lib="dom" />
// Gives tests the client in a page.
import { connect } from "@tidewire/client";

Object.assign(globalThis, { connect });
