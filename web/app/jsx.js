// What JSX in the other files becomes: esbuild adds this import to each.
export { h as jsxElement, Fragment as jsxFragment } from "preact";
