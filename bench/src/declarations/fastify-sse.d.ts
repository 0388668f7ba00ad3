import type { FastifyPluginAsync } from "fastify";

// Its own types say what `reply.sse` is, and so do those of two other plugins here: a program can have one of them.

declare module "fastify" {
  interface RouteShorthandOptions {
    sse?: "only";
  }
}

export interface FastifySseStream {
  keepAlive(): void;
  send(message: {
    readonly id: string;
    readonly event?: string;
    readonly data: unknown;
  }): Promise<void>;
  onClose(callback: () => void): void;
}

export const fastifySSE: FastifyPluginAsync<{
  readonly heartbeatInterval?: number;
  readonly serializer?: (data: unknown) => string;
}>;
