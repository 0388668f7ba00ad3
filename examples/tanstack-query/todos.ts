// TanStack Query: a query fetches the to-dos, and a stream keeps them up to date.
import type { QueryClient } from "@tanstack/react-query";
import { connect } from "@tidewire/client";

interface Todo {
  readonly id: string;
  readonly text: string;
}
/** From the server, with `import type`. */
type Channels = { todos: { changed: Todo; removed: { id: string } } };
/** Puts one event into a list. It must not matter if the list contains the event already. */
type Update = (todos: readonly Todo[]) => readonly Todo[];

const queryKey = ["todos"];

/** Call it once for each `QueryClient`. `options` are for `useQuery`; `stream.close()` stops it. */
export function followTodos(queryClient: QueryClient, url = "/todos") {
  const stream = connect<Channels>(`${url}/events`);
  /** The events of each fetch under way, which its answer may lack. */
  const fetches = new Set<Update[]>();
  let resets = 0;

  const write = (update: Update): void => {
    // Data that was reset stays marked as invalid until it has been fetched: writing to it would remove the mark.
    if (queryClient.getQueryState(queryKey)?.isInvalidated) return;
    queryClient.setQueryData<readonly Todo[]>(queryKey, (todos) => todos && update(todos));
  };
  const change = (update: Update): void => {
    for (const updates of fetches) updates.push(update);
    write(update);
  };
  const reset = (): void => {
    resets += 1;
    // `all`: also if no component shows the query at the moment.
    void queryClient.invalidateQueries({ queryKey, refetchType: "all" });
  };

  stream.on("changed", (todo) =>
    change((todos) => [...todos.filter(({ id }) => id !== todo.id), todo]),
  );
  stream.on("removed", ({ id }) => change((todos) => todos.filter((todo) => todo.id !== id)));
  stream.onReset(reset);
  stream.onStatus(({ state }) => {
    // Without a position the next stream starts at the newest event.
    if (state === "waiting" && stream.lastEventId === "") reset();
  });

  /** Resolves when events arrive: an answer from before would lack those in between. */
  const opened = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const check = (): void => {
        const { state } = stream.status;
        if (state !== "open" && state !== "closed") return;
        stop();
        if (state === "open") resolve();
        else reject(new Error("The stream is closed"));
      };
      const stop = stream.onStatus(check);
      check();
    });

  const queryFn = async ({ signal }: { signal: AbortSignal }): Promise<readonly Todo[]> => {
    await opened();
    const updates: Update[] = [];
    const before = resets;
    fetches.add(updates);
    try {
      const response = await fetch(url, { signal });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      const todos = (await response.json()) as readonly Todo[];
      // A first fetch is not cancelled by a reset.
      if (resets !== before) return await queryFn({ signal });
      return updates.splice(0).reduce((list, update) => update(list), todos);
    } finally {
      // The answer is in the cache a moment after this function returns. Events of that moment come after it.
      setTimeout(() => {
        fetches.delete(updates);
        for (const update of updates) write(update);
      });
    }
  };

  return { stream, options: { queryKey, queryFn, staleTime: Infinity } };
}
