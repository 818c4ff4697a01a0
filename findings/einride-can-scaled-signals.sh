#!/usr/bin/env bash
# go.einride.tech/can (Go): a current of 2.3 A is sent as 2.2 A, a torque of 1.5 is shown as 1.07e+09, and a counter of 2000 is sent as -1.
#
# A signal of a CAN database has a factor and an offset: "physical_value = raw_value * factor + offset" (DBC File Format Documentation, section
# "Signal Definitions"). The generated setters divide, and cut off the rest: 2.3 / 0.1 is 22.999999999999996, and becomes 22. Of the 1,001 currents
# from 0.0 to 100.0 A, 348 are sent a step too low. A signal of IEEE floats (SIG_VALTYPE_ 1) has the right getter, but the text of a message, by which
# one logs it, shows the float's bits as an integer. For a signed signal of 64 bits, the limits of the range overflow to 0 and -1: every physical
# value is sent as 0, and every positive raw value as -1. No setter returns an error.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'MOD'
module finding

go 1.25
MOD
cat >motor.dbc <<'DBC'
VERSION ""

NS_ :

BS_:

BU_: DRIVER MOTOR

BO_ 100 Motor: 8 DRIVER
 SG_ Current : 0|16@1+ (0.1,0) [0|6553.5] "A" MOTOR
 SG_ Torque : 32|32@1- (1,0) [0|0] "Nm" MOTOR

BO_ 101 Position: 8 DRIVER
 SG_ Encoder : 0|64@1- (0.5,0) [0|0] "um" MOTOR

SIG_VALTYPE_ 100 Torque : 1;
DBC
cat >main.go <<'GO'
package main

import (
	"fmt"

	dbc "finding/gen"
)

func main() {
	low := 0
	for i := range 1001 {
		if int(dbc.NewMotor().SetCurrent(float64(i)/10).RawCurrent()) < i {
			low++
		}
	}
	fmt.Printf("of the currents 0.0 to 100.0 A, %d are sent too low\n", low)
	motor := dbc.NewMotor().SetCurrent(2.3).SetTorque(1.5)
	fmt.Printf("2.3 A is sent as %d, which is %v A\n", motor.RawCurrent(), motor.Current())
	fmt.Printf("torque 1.5: read as %v, as text %v\n", motor.Torque(), motor)
	for _, um := range []float64{1000, -1000} {
		fmt.Printf("encoder %v um, raw %v: sent as raw %d\n", um, um*2, dbc.NewPosition().SetEncoder(um).RawEncoder())
	}
	for _, raw := range []int64{2000, -2000} {
		fmt.Printf("encoder raw %v: sent as raw %d\n", raw, dbc.NewPosition().SetRawEncoder(raw).RawEncoder())
	}
}
GO
export GOFLAGS=-mod=mod
for package in can can/cmd/cantool can/pkg/canrunner can/pkg/socketcan; do go get go.einride.tech/$package@v0.17.0 2>/dev/null; done
go run go.einride.tech/can/cmd/cantool generate . gen >/dev/null
echo "go.einride.tech/can v0.17.0, with the code that its cantool generates"
go run . | tee out.txt
diff out.txt - <<'OUT'
of the currents 0.0 to 100.0 A, 348 are sent too low
2.3 A is sent as 22, which is 2.2 A
torque 1.5: read as 1.5, as text {Current: 2.2A, Torque: 1.06954752e+09Nm}
encoder 1000 um, raw 2000: sent as raw 0
encoder -1000 um, raw -2000: sent as raw 0
encoder raw 2000: sent as raw -1
encoder raw -2000: sent as raw 0
OUT
echo "as found"
