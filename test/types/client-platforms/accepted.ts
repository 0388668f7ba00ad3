import { connect } from "@tidewire/client";

/** Values of the platform, be it a browser or Node. */
export function accepted(token: string): void {
  const controller = new AbortController();
  connect("https://app.example/", {
    fetch,
    signal: controller.signal,
    headers: new Headers({ authorization: token }),
  });
  connect(new URL("https://app.example/"), {
    fetch: async (url, request) => fetch(url, { ...request, redirect: "error" }),
    headers: async () => ({ authorization: token }),
    signal: AbortSignal.timeout(1_000),
  });
  connect("https://app.example/", {
    body: new URLSearchParams({ q: "tide" }),
    headers: [["authorization", token]],
    onUnauthorized: async () => {},
  });
  connect("https://app.example/", { onUnauthorized: ({ httpStatus }) => httpStatus === 401 });
}
