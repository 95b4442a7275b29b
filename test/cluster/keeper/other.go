//go:build !linux

package keeper

import (
	"context"
	"errors"
)

var errLinux = errors.New("a test cluster needs Linux")

// Spawn needs Linux.
func Spawn(context.Context, string, Spec) (*State, error) { return nil, errLinux }

// Share needs Linux.
func Share(context.Context, string, Spec) (*State, error) { return nil, errLinux }

// Close needs Linux.
func Close(context.Context, string) error { return errLinux }

// Down needs Linux.
func Down(context.Context, ...string) error { return errLinux }
