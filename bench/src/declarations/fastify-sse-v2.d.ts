import type { FastifyPluginAsync } from "fastify";

// The package's own types declare `reply.sse`, as do two other plugins here: a program can use only one of them.

export interface FastifySseV2Reply {
  sse(message: {
    readonly id?: string;
    readonly event?: string;
    readonly data?: string;
    readonly comment?: string;
  }): void;
}

export const FastifySSEPlugin: FastifyPluginAsync;
