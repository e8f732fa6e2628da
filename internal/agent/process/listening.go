package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// unixSockets is the kernel's table of the UNIX sockets of this network namespace, which
// mysqld and its agent share.
const unixSockets = "/proc/net/unix"

// listens is the flag __SO_ACCEPTCON of a socket in that table.
const listens = "00010000"

// askSoon and askLast are the first and the longest pause between two readings of the
// kernel's table while the socket's file is gone and mysqld still listens. A mysqld that shuts
// down closes the socket within a millisecond of removing its file, and lets waiting commits
// pass soon after that.
const (
	askSoon = time.Millisecond
	askLast = 100 * time.Millisecond
)

// AwaitDeaf returns nil as soon as nobody listens on a UNIX socket any more, which mysqld
// closes at the very beginning of a shutdown, and removes. It costs nothing while the file
// is there: the kernel reports the removal. A file that was removed while mysqld goes on
// listening is not taken for that. It blocks until then or until ctx ends.
func AwaitDeaf(ctx context.Context, socket string) error {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("watch socket %s: %w", socket, err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	if _, err := unix.InotifyAddWatch(fd, filepath.Dir(socket), unix.IN_DELETE|unix.IN_MOVED_FROM); err != nil {
		return fmt.Errorf("watch socket %s: %w", socket, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = events.Close() })
	defer stop()
	buffer := make([]byte, 64*(unix.SizeofInotifyEvent+unix.NAME_MAX+1))
	// It may have been removed before the watch began.
	pause := askSoon
	for removed := absent(socket); ; {
		if removed {
			deaf, err := isDeaf(socket)
			if err != nil || deaf {
				return err
			}
		}
		var again time.Time
		if absent(socket) {
			again = time.Now().Add(pause)
			pause = min(2*pause, askLast)
		} else {
			pause = askSoon
		}
		if err := events.SetReadDeadline(again); err != nil && ctx.Err() == nil {
			return fmt.Errorf("watch socket %s: %w", socket, err)
		}
		n, err := events.Read(buffer)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			removed = true
			continue
		}
		if err != nil {
			return fmt.Errorf("watch socket %s: %w", socket, err)
		}
		removed = names(buffer[:n], filepath.Base(socket))
	}
}

func absent(path string) bool {
	_, err := os.Lstat(path)
	return os.IsNotExist(err)
}

// names reports whether one of the kernel's events is about a file of this name.
func names(events []byte, name string) bool {
	for len(events) >= unix.SizeofInotifyEvent {
		event := (*unix.InotifyEvent)(unsafe.Pointer(&events[0]))
		if event.Mask&unix.IN_Q_OVERFLOW != 0 {
			return true
		}
		end := unix.SizeofInotifyEvent + int(event.Len)
		if end > len(events) {
			return true
		}
		if string(bytes.TrimRight(events[unix.SizeofInotifyEvent:end], "\x00")) == name {
			return true
		}
		events = events[end:]
	}
	return false
}

// isDeaf asks the kernel whether no socket listens under this path.
func isDeaf(socket string) (bool, error) {
	table, err := os.Open(unixSockets)
	if err != nil {
		return false, err
	}
	defer table.Close()
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		// Num RefCount Protocol Flags Type St Inode Path
		fields := strings.Fields(lines.Text())
		if len(fields) == 8 && fields[3] == listens && fields[7] == socket {
			return false, nil
		}
	}
	return true, lines.Err()
}
