package archiver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
)

// found is a member that may be read, and the connection by which that was seen.
type found struct {
	sight

	member  Member
	queries *client.Conn
}

// lookLimit is how long a member is waited for when another one could be read.
const lookLimit = 2 * time.Second

// choose finds the member to read. The connection by which it was seen ends with ctx.
func (r *runner) choose(ctx context.Context) (found, error) {
	fit, failures := r.lookAtAll(ctx)
	seen := make([]sight, len(fit))
	for i := range fit {
		seen[i] = fit[i].sight
	}
	picked := pick(seen, r.log.All(), r.log.Fresh())
	for i := range fit {
		if i != picked {
			fit[i].close()
		}
	}
	if picked < 0 {
		return found{}, fmt.Errorf("%w: %w", ErrNoMember, errors.Join(failures...))
	}
	return fit[picked], nil
}

// lookAtAll sees all members at once, and returns those that are fit. One that does not answer is waited
// for only as long as none is.
func (r *runner) lookAtAll(ctx context.Context) (fit []found, failures []error) {
	type look struct {
		found found
		err   error
	}
	looks := make(chan look, len(r.options.Members))
	for _, member := range r.options.Members {
		go func() {
			now, err := r.look(ctx, member)
			looks <- look{now, err}
		}()
	}
	var enough <-chan time.Time
	for left := len(r.options.Members); left > 0; left-- {
		select {
		case one := <-looks:
			if one.err != nil {
				failures = append(failures, one.err)
				continue
			}
			fit = append(fit, one.found)
			enough = time.After(lookLimit)
		case <-enough:
			go func() {
				for range left {
					(<-looks).found.close()
				}
			}()
			return fit, failures
		}
	}
	return fit, failures
}

// look sees one member, where it may be read. One that is not fit is an error.
func (r *runner) look(ctx context.Context, member Member) (found, error) {
	now, err := see(ctx, member, r.options.Alone)
	if err != nil {
		return found{}, err
	}
	if now.open && !now.free && member.Readers != "" {
		now.close()
		member.Address = member.Readers
		if now, err = see(ctx, member, true); err != nil {
			return found{}, fmt.Errorf("%w: %w", errOpen, err)
		}
	}
	if err := now.fit(); err != nil {
		now.close()
		return found{}, fmt.Errorf("%s: %w", member.Address, err)
	}
	return now, nil
}

// see connects to a member and asks for its state.
func see(ctx context.Context, member Member, free bool) (found, error) {
	conn, err := member.connect(ctx)
	if err != nil {
		return found{}, err
	}
	now, err := observe(conn)
	if err != nil {
		_ = conn.Close()
		return found{}, fmt.Errorf("%s: %w", member.Address, err)
	}
	return found{
		sight:   sight{state: now, free: free},
		member:  member,
		queries: conn,
	}, nil
}

// close ends the connection; there may be none.
func (f found) close() {
	if f.queries != nil {
		_ = f.queries.Close()
	}
}

// lookElsewhere fails if the other member is to be read instead of this passive: the other is alone by
// now, and writes what does not get here. What this passive said before counts as all there is only if it
// was asked after that.
func (s *reading) lookElsewhere(now state) error {
	if !s.found.free {
		if time.Since(s.looked) < s.options.Flush/2 {
			return nil
		}
		s.looked = time.Now()
		if other := s.aloneBeside(s.ctx, now); other != "" {
			return fmt.Errorf("%w: %s is alone", errRoles, other)
		}
	}
	s.vouched = now.at
	return nil
}

// aloneBeside is the address of the member that is to be read instead of this passive; empty for none.
func (s *reading) aloneBeside(ctx context.Context, now state) string {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	for _, member := range s.options.Members {
		if member.Readers == "" || member.Address == s.found.member.Address {
			continue
		}
		member.Address = member.Readers
		other, err := see(ctx, member, true)
		if err != nil {
			continue // its commits wait for this one, or it is not there
		}
		other.close()
		if pick([]sight{{state: now}, other.sight}, s.log.All(), false) == 1 {
			return member.Address
		}
	}
	return ""
}
