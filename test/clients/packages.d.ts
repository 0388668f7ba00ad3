// Packages without types, or without types for the entry used: the parts that the matrix needs.
declare module "eventsource2" {
  export default class EventSource2 extends EventTarget {
    constructor(url: string);
    readonly readyState: number;
    close(): void;
  }
}

declare module "event-source-polyfill" {
  export const EventSourcePolyfill: new (url: string) => EventTarget & {
    readonly readyState: number;
    close(): void;
  };
}

declare module "launchdarkly-eventsource" {
  interface LaunchDarklyOptions {
    readonly initialRetryDelayMillis?: number;
    readonly maxBackoffMillis?: number;
    readonly jitterRatio?: number;
    readonly errorFilter?: (error: { readonly status?: number }) => boolean;
  }
  export class EventSource {
    constructor(url: string, options?: LaunchDarklyOptions);
    on(
      type: string,
      listener: (event: { data: string; message?: string; status?: number }) => void,
    ): this;
    addEventListener(type: string, listener: (event: { data: string }) => void): void;
    close(): void;
  }
}

declare module "reconnecting-eventsource" {
  export default class ReconnectingEventSource extends EventTarget {
    constructor(url: string);
    readonly readyState: number;
    close(): void;
  }
}

declare module "htmx2" {
  const htmx: { process(element: Element): void };
  export default htmx;
}

declare module "htmx4" {
  const htmx: { process(element: Element): void };
  export default htmx;
}

declare module "@hotwired/turbo" {
  export function connectStreamSource(source: EventTarget): void;
  export function disconnectStreamSource(source: EventTarget): void;
}

declare module "htmx-ext-sse";
declare module "htmx4/dist/ext/hx-sse.js";
declare module "@starfederation/datastar/dist/bundles/datastar.js" {
  export const Datastar: { apply(element: Element): void };
}
