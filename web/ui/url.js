// Where a path of the server is. A page opened with credentials in its own URL
// could not fetch by relative paths.
export const url = (path) => new URL(path, location.origin + location.pathname);
