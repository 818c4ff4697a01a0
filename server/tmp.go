// Package server is not there yet.
package server
