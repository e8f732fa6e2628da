package netserve

import (
	"context"
	"net"
	"sync"
)

// Serve accepts connections until ctx ends, and calls serve for each in a goroutine of its own,
// at most so many at once; more wait to be accepted. It blocks until all of them have returned,
// closes the listener, and returns nil at the end of ctx. serve closes its connection when the context it is
// given ends.
func Serve(ctx context.Context, listener net.Listener, most int, serve func(context.Context, net.Conn)) error {
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	defer func() { _ = listener.Close() }()
	slots := make(chan struct{}, most)
	var connections sync.WaitGroup
	defer connections.Wait()
	// The end of ctx can close the listener before it ends this one.
	connected, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		connections.Go(func() {
			defer func() { <-slots }()
			serve(connected, conn)
		})
	}
}
