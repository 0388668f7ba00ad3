// The to-dos in React: the page of the recipe for TanStack Query.
import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { useStatus } from "@tidewire/client/react";
import { followTodos } from "./todos.js";

const queryClient = new QueryClient();
const { stream, options } = followTodos(queryClient);

function Todos() {
  const { data = [], error } = useQuery(options);
  const { state } = useStatus(stream);
  return (
    <>
      {state === "waiting" && <p>Reconnecting</p>}
      {error && <p>{error.message}</p>}
      <ul>
        {data.map(({ id, text }) => (
          <li key={id}>{text}</li>
        ))}
      </ul>
    </>
  );
}

export const App = () => (
  <QueryClientProvider client={queryClient}>
    <Todos />
  </QueryClientProvider>
);
