// Package faults has the tests that run the real programs through real faults: kills, full, broken and stuck disks, clocks that
// step, a lack of memory and of file handles, interfaces that move, broken files and closed pipes. docs/faults.md lists them. What
// a hub loses while it collects is for the chaos program, and what an agent does under load for the soak program.
//
// Most tests need root on Linux, and are skipped elsewhere. `make test` runs the short ones, which take about half a minute
// together, and `make faults` all of them.
//
// Loads stay within network namespaces that the tests make, and on loopback.
package faults
