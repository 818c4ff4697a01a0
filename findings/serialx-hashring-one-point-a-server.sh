#!/usr/bin/env bash
# hashring (serialx, Go): of seven equal servers, one gets 21% of the keys and another 5%.
#
# "The hashing ring is built using the same algorithm as libketama" (README, whose seven servers these are). libketama gives a server of average weight
# 160 points on the ring, so that the shares are near each other, and the keys of a server that is removed spread over all others. Here a server has as
# many points as its weight, and New gives each the weight 1: a share is chance, and all keys of a removed server go to one other.
# A weight of 2 adds a second point, which takes nearly all that it gets from one neighbour. Weights of 100 and 200 work. The
# package hashring of npm, which is built on ketama too, is there for comparison.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . hashring@3.2.0 >/dev/null
cat >run.js <<'JS'
const HashRing = require('hashring');
const nodes = Array.from({ length: 7 }, (_, i) => `192.168.0.${246 + i}:11212`);
const show = (title, ring, left) => {
  const n = Object.fromEntries(left.map((s) => [s, 0]));
  for (let i = 0; i < 100000; i++) n[ring.get(`user:${i}`)]++;
  console.log(`npm, ${title}: ${nodes.map((s) => (s in n ? `${(n[s] / 1000).toFixed(1)}%` : '-')).join(' ')}`);
};
const ring = new HashRing(nodes);
show('seven equal servers', ring, nodes);
ring.remove(nodes[0]);
show('first removed      ', ring, nodes.slice(1));
show('first weighs double', new HashRing(Object.fromEntries(nodes.map((s, i) => [s, i === 0 ? 2 : 1]))), nodes);
JS
cat >go.mod <<'MOD'
module finding

go 1.24
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"

	"github.com/serialx/hashring"
)

func main() {
	var nodes []string
	equal, double := map[string]int{}, map[string]int{}
	for i := range 7 {
		n := fmt.Sprintf("192.168.0.%d:11212", 246+i)
		nodes = append(nodes, n)
		equal[n], double[n] = 100, 1
	}
	double[nodes[0]] = 2
	show := func(title string, r *hashring.HashRing) {
		count := map[string]int{}
		for i := range 100_000 {
			n, _ := r.GetNode(fmt.Sprint("user:", i))
			count[n]++
		}
		fmt.Printf("Go, %s:", title)
		for _, n := range nodes {
			if count[n] == 0 {
				fmt.Print(" -")
				continue
			}
			fmt.Printf(" %.1f%%", float64(count[n])/1000)
		}
		fmt.Println()
	}
	show("seven equal servers ", hashring.New(nodes))
	show("first removed       ", hashring.New(nodes).RemoveNode(nodes[0]))
	show("first weighs double ", hashring.NewWithWeights(double))
	show("all with weight 100 ", hashring.NewWithWeights(equal))
}
GO
export GOFLAGS=-mod=mod
go get github.com/serialx/hashring@v0.0.0-20200727003509-22c0c7ab6b1b 2>/dev/null
echo "serialx/hashring 22c0c7ab6b1b (2020-07-27), and hashring 3.2.0 of npm for comparison"
{ go run .; node run.js; } | tee out.txt
diff out.txt - <<'OUT'
Go, seven equal servers : 11.1% 15.1% 15.4% 21.4% 18.0% 14.3% 4.7%
Go, first removed       : - 15.1% 26.5% 21.4% 18.0% 14.3% 4.7%
Go, first weighs double : 28.4% 15.1% 15.4% 4.1% 18.0% 14.3% 4.7%
Go, all with weight 100 : 12.4% 15.0% 14.1% 11.6% 17.9% 14.9% 14.2%
npm, seven equal servers: 12.8% 13.5% 14.4% 13.9% 13.8% 14.9% 16.7%
npm, first removed      : - 15.8% 16.8% 16.6% 15.7% 17.4% 17.7%
npm, first weighs double: 24.4% 12.5% 13.1% 11.9% 12.0% 11.9% 14.3%
OUT
echo "as found"
