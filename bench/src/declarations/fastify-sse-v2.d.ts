import type { FastifyPluginAsync } from "fastify";

// Its own types say what `reply.sse` is, and so do those of two other plugins here: a program can have one of them.

export interface FastifySseV2Reply {
  sse(message: {
    readonly id?: string;
    readonly event?: string;
    readonly data?: string;
    readonly comment?: string;
  }): void;
}

export const FastifySSEPlugin: FastifyPluginAsync;
