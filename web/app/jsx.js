// What JSX in the other files becomes: esbuild adds this import to each.
export { h, Fragment } from "preact";
