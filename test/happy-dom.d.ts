/** The part of happy-dom that the tests use. Its own types need those of a newer Node. */

/** A page without a browser. */
export class Window {
  constructor(options: { readonly url: string });
  readonly document: Document;
  readonly navigator: Navigator;
}
