#!/usr/bin/env bash
# deck (npm): a "uniform shuffle" never leaves a card in its place, and two cards always swap.
#
# shuffle() of an array is to have a uniform distribution (README). It takes the partner of place i from the places below i, without i itself. That is
# Sattolo's algorithm (1986), which makes random cycles, instead of the one by Fisher and Yates. Of the n! orders, (n-1)! can occur. A client that shuffles
# its list of servers to spread the load never tries the first one first. The weighted shuffle of the same package, with equal weights, is right.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . deck@0.0.4 >/dev/null
cat >run.js <<'JS'
const deck = require('deck');
const factorial = (n) => (n < 2 ? 1 : n * factorial(n - 1));
for (const n of [2, 3, 4, 5]) {
  const cards = Array.from({ length: n }, (_, i) => 'abcde'[i]);
  for (const [title, input] of [
    ['array  ', cards],
    ['weights', Object.fromEntries(cards.map((c) => [c, 1]))],
  ]) {
    const orders = new Set();
    let first = 0;
    for (let i = 0; i < 20000; i++) {
      const out = deck.shuffle(input);
      orders.add(out.join(''));
      if (out[0] === 'a') first++;
    }
    const often = n < 4 && orders.size < 6 ? `: ${[...orders].sort().join(' ')}` : '';
    console.log(`${n} cards, ${title}: a is first ${first ? 'at times' : 'never'}, ${orders.size} of ${factorial(n)} orders${often}`);
  }
}
JS
echo "deck 0.0.4; 20,000 shuffles each"
node run.js | tee out.txt
diff out.txt - <<'OUT'
2 cards, array  : a is first never, 1 of 2 orders: ba
2 cards, weights: a is first at times, 2 of 2 orders: ab ba
3 cards, array  : a is first never, 2 of 6 orders: bca cab
3 cards, weights: a is first at times, 6 of 6 orders
4 cards, array  : a is first never, 6 of 24 orders
4 cards, weights: a is first at times, 24 of 24 orders
5 cards, array  : a is first never, 24 of 120 orders
5 cards, weights: a is first at times, 120 of 120 orders
OUT
echo "as found"
