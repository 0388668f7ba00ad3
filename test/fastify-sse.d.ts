import type { FastifyPluginAsync } from "fastify";

// Its own types say what `reply.sse` is, and so do ours: a program can have one of them.
declare const fastifySse: FastifyPluginAsync;
// oxlint-disable-next-line import/no-default-export -- that is what the package has
export default fastifySse;
