/** The lock that one tab of a group holds: the one that leads. */

/** The part of the Web Locks API that is used here. */
export interface Locks {
  request(
    name: string,
    options: { readonly signal: AbortSignal } | { readonly steal: true },
    callback: () => Promise<void> | undefined,
  ): Promise<unknown>;
}

/** A lock that this tab holds, waits for or leaves alone. */
export interface TabLock {
  /** Waits for the lock, behind all that wait already. */
  wait(): void;
  /** Takes it from the tab that has it. */
  steal(): void;
  /** Gives it back, or stops waiting. */
  release(): void;
}

/** The reports of a lock. */
export interface TabLockOwner {
  /** The lock is ours. */
  onHeld(isStolen: boolean): void;
  /** Another tab has stolen it. */
  onLost(): void;
  /** The page may not use locks: it is sandboxed, or the user has blocked storage. */
  onRefused(): void;
}

/** Creates a lock that is not held. */
export function createTabLock(locks: Locks, name: string, owner: TabLockOwner): TabLock {
  /** Gives up the last request, whether it waits or holds. */
  let release = (): void => {};

  const request = (isStolen: boolean): void => {
    release();
    const controller = new AbortController();
    let isReleased = false;
    let isHeld = false;
    let giveBack = (): void => {};
    release = () => {
      isReleased = true;
      controller.abort();
      giveBack();
    };
    const { signal } = controller;
    locks
      .request(name, isStolen ? { steal: true } : { signal }, () => {
        if (isReleased) return undefined;
        isHeld = true;
        const held = new Promise<void>((resolve) => {
          giveBack = resolve;
        });
        owner.onHeld(isStolen);
        return held;
      })
      .catch(() => {
        // A request that was released is over.
        if (isReleased) return;
        if (isHeld) owner.onLost();
        else owner.onRefused();
      });
  };
  return {
    wait: () => request(false),
    steal: () => request(true),
    release: () => release(),
  };
}
