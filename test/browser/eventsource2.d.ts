// Version 2 brings no types; what the tests use of it.
declare module "eventsource2" {
  interface Message {
    readonly type: string;
    readonly data: string;
    readonly lastEventId: string;
  }
  export default class EventSource {
    constructor(url: string);
    onmessage: ((event: Message) => void) | null;
    addEventListener(type: string, listener: (event: Message) => void): void;
    close(): void;
  }
}
