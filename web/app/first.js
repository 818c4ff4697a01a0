// Asks for the first numbers of the first view while the dashboard itself is still loading. The server says what to ask for.
// data.js takes the answer.
(() => {
  if (!/^(#\/?(now)?)?$/.test(location.hash) || location.search) return;
  const path = document.currentScript.dataset.first, url = new URL(path, document.baseURI);
  url.username = url.password = ""; // fetch does not accept them
  const answer = fetch(url);
  answer.catch(() => {}); // data.js sees the error
  globalThis.first = { path, answer };
})();
