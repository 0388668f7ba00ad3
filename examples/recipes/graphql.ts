// GraphQL subscriptions over the log: a query gives the state and a position, where the subscription continues.
import { createHub } from "@tidewire/core";
import type { ReadItem } from "@tidewire/core";
import express from "express";
import { createSchema, createYoga } from "graphql-yoga";

type Channels = { news: { headline: { title: string } } };

const hub = createHub<Channels>();
const titles: string[] = [];

const typeDefs = `
  type News { titles: [String!]!, position: ID! }
  "Without a title if changes were lost: query the news again."
  type Change { position: ID!, title: String }
  type Query { news: News! }
  type Mutation { publish(title: String!): ID! }
  type Subscription { news(after: ID!): Change! }
`;

const resolvers = {
  // The position first, then the state: an event that is published in between may be in both, but is never missing.
  Query: { news: async () => ({ position: await hub.position(), titles }) },
  Mutation: {
    async publish(_root: unknown, { title }: { title: string }) {
      titles.push(title);
      return (await hub.publish("news", { event: "headline", data: { title } })).id;
    },
  },
  Subscription: {
    news: {
      subscribe: (_root: unknown, { after }: { after: string }) => hub.read("news", { after }),
      resolve: (item: ReadItem<Channels, "news">) =>
        item.type === "reset" ? { position: item.id } : { position: item.id, ...item.data },
    },
  },
};

const app = express();
const yoga = createYoga({ schema: createSchema({ typeDefs, resolvers }) });
app.use("/graphql", yoga as express.RequestHandler);

const port = Number(process.env["PORT"] ?? 3000);
const server = app.listen(port, "127.0.0.1", (error) => {
  if (error) throw error;
  console.log(`http://127.0.0.1:${port}`);
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    // Cuts the subscriptions before the hub ends them: a client reconnects after a cut, not after "complete".
    server.close().closeAllConnections();
    await hub.close();
  });
}
