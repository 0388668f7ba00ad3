/** Tells when a page has come back: to the network, to the eyes of its user, or from the freezer. */

type WakeListener = (event: { readonly type: string; readonly persisted?: boolean }) => void;

/** A page or its document. In workers and in Node parts are missing. */
interface Target {
  addEventListener?(type: string, listener: WakeListener): void;
  removeEventListener?(type: string, listener: WakeListener): void;
}

/**
 * Listens to the page.
 *
 * @param onWake - `true` if the page was frozen: connections that it had before are dead, although they look alive.
 * @returns A function that removes all listeners.
 */
export function listenForWake(onWake: (wasFrozen: boolean) => void): () => void {
  const scope = globalThis as Target & {
    readonly document?: Target & { readonly visibilityState: string };
  };
  const { document } = scope;
  const listener: WakeListener = ({ type, persisted }) => {
    // Chromium gives a frozen page its streams back, but no more of their bytes.
    if (type === "resume" || persisted === true) onWake(true);
    else if (type === "online" || document?.visibilityState === "visible") onWake(false);
  };
  const sources: readonly (readonly [Target | undefined, string])[] = [
    [scope, "online"],
    [scope, "pageshow"],
    [document, "visibilitychange"],
    [document, "resume"],
  ];
  for (const [target, type] of sources) target?.addEventListener?.(type, listener);
  return () => {
    for (const [target, type] of sources) target?.removeEventListener?.(type, listener);
  };
}
