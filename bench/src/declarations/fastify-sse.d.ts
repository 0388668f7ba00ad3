import type { FastifyPluginAsync } from "fastify";

// The package's own types declare `reply.sse`, as do two other plugins here: a program can use only one of them.

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
