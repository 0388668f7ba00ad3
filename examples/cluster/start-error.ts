/** An error that the user can fix; its message explains how. */
export class StartError extends Error {}
