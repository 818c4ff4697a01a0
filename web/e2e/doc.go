// Package e2e tests the dashboard in a real browser, headless Chromium, against real agents and hubs: the numbers on the page
// are those of the API, hostile names stay text, the policy of contents is kept, and axe-core finds nothing. It has no code of
// its own. The tests skip if there is no chromium.
package e2e
