import type { FastifyPluginAsync } from "fastify";

// The package's own types declare `reply.sse`, as ours do: a program can use only one of them.
declare const fastifySse: FastifyPluginAsync;
// oxlint-disable-next-line import/no-default-export -- the package has a default export
export default fastifySse;
