/** Tells when a page has come back: to the network, to the eyes of its user, or from the freezer. */

type WakeListener = (event: { readonly type: string; readonly persisted?: boolean }) => void;

/** A page. In workers and in Node parts are missing. */
interface Scope {
  readonly document?: { readonly visibilityState: string };
  addEventListener?(type: string, listener: WakeListener, isCapture: true): void;
  removeEventListener?(type: string, listener: WakeListener, isCapture: true): void;
}

const TYPES = ["online", "pageshow", "visibilitychange", "resume"];

/**
 * Listens to the page.
 *
 * @param onWake - `true` if the page was frozen: connections that it had before are dead, although they look alive.
 * @returns A function that removes all listeners.
 */
export function listenForWake(onWake: (wasFrozen: boolean) => void): () => void {
  const scope = globalThis as Scope;
  const listener: WakeListener = ({ type, persisted }) => {
    // Chromium gives a frozen page its streams back, but no more of their bytes.
    if (type === "resume" || persisted === true) onWake(true);
    else if (type === "online" || scope.document?.visibilityState === "visible") onWake(false);
  };
  // On their way down, because not all events of the document come up to the window.
  for (const type of TYPES) scope.addEventListener?.(type, listener, true);
  return () => {
    for (const type of TYPES) scope.removeEventListener?.(type, listener, true);
  };
}
