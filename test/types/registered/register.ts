// A separate program, because a registration applies to all of it.

/** Channels of the application. */
export interface Channels {
  news: { headline: { title: string; urgent?: boolean }; correction: string };
  prices: { message: { symbol: string; cents: number } };
  chat: { message: string };
  [user: `user:${string}`]: { mail: { from: string } };
}

declare module "@tidewire/core" {
  interface Register {
    channels: Channels;
  }
}
