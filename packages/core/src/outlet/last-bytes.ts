/** Cuts the connection of a client that may have nothing more and does not take its last bytes. */

import { runOutside } from "./async-context.js";
import type { Outlet } from "./outlet.js";

/** Time that the last bytes have to reach the operating system, in milliseconds. */
const LEAVING_MS = 20;

/** Cuts an outlet that has ended, unless its last bytes leave soon. */
export function cutUnlessSent(outlet: Outlet): void {
  runOutside(() => setTimeout(cutIfBackedUp, LEAVING_MS, outlet));
}

function cutIfBackedUp(outlet: Outlet): void {
  if (!outlet.isOver && outlet.bufferedBytes > 0) outlet.destroy();
}
