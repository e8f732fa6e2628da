package packetrule

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Names in nf_tables. No other program of a pod uses them.
const (
	tableName = "dbpair"
	chainName = "input"
	setName   = "refused"
)

// Places in packets.
const (
	ipv4Source   = 12 // in the header of the network layer
	ipv6Source   = 8
	tcpPort      = 2 // of the destination, in the header of TCP
	tcpFlags     = 13
	flagFIN      = 0x01
	flagSYN      = 0x02
	flagRST      = 0x04
	flagACK      = 0x10
	registerUsed = 1
)

// table is the rule in nf_tables of this process's network namespace: a set of ports, each with a time after which the kernel
// takes it out, and a chain that answers the first packet of a connection to one of them with a reset. Not safe for
// concurrent use.
type table struct {
	// exempt are the addresses from which clients always pass.
	exempt []netip.Prefix
	// filled: the set may have elements.
	filled bool
}

func (t *table) names() (*nftables.Table, *nftables.Set) {
	owner := &nftables.Table{
		Family: nftables.TableFamilyINet,
		Name:   tableName,
	}
	return owner, &nftables.Set{
		Table:      owner,
		Name:       setName,
		KeyType:    nftables.TypeInetService,
		HasTimeout: true,
	}
}

// install puts the rule, refusing nobody, in the place of one that an earlier process left. It blocks for milliseconds; all
// of it takes effect at once, or none. It fails with unix.EPERM without the capability, and with unix.EOPNOTSUPP or
// unix.EPROTONOSUPPORT on a kernel without nf_tables.
func (t *table) install() error {
	kernel, err := nftables.New()
	if err != nil {
		return fmt.Errorf("reach nf_tables: %w", err)
	}
	owner, ports := t.names()
	// To delete what is not there fails, so it is made first.
	kernel.AddTable(owner)
	kernel.DelTable(owner)
	kernel.AddTable(owner)
	if err := kernel.AddSet(ports, nil); err != nil {
		return fmt.Errorf("make the set of refused ports: %w", err)
	}
	chain := kernel.AddChain(&nftables.Chain{
		Table:    owner,
		Name:     chainName,
		Type:     nftables.ChainTypeFilter,
		Hooknum:  nftables.ChainHookInput,
		Priority: nftables.ChainPriorityFilter,
	})
	for _, from := range t.exempt {
		kernel.AddRule(&nftables.Rule{
			Table: owner,
			Chain: chain,
			Exprs: append(comesFrom(from), &expr.Verdict{Kind: expr.VerdictAccept}),
		})
	}
	kernel.AddRule(&nftables.Rule{
		Table: owner,
		Chain: chain,
		Exprs: append(beginsAt(ports), &expr.Counter{}, &expr.Reject{Type: unix.NFT_REJECT_TCP_RST}),
	})
	if err := kernel.Flush(); err != nil {
		return fmt.Errorf("make the table %s: %w", tableName, err)
	}
	t.filled = false
	return nil
}

// refuse has new clients refused at these ports and at no others, for so long and no longer unless it is called again. It
// blocks for milliseconds, in which what was refused before stays so. It fails when there is no rule.
func (t *table) refuse(ports []uint16, lease time.Duration) error {
	kernel, err := nftables.New()
	if err != nil {
		return fmt.Errorf("reach nf_tables: %w", err)
	}
	_, set := t.names()
	// Adding an element that is there does not change its time on every kernel. What is taken out delays what is put in by
	// some ten milliseconds, so it is left out where it can be.
	if t.filled {
		kernel.FlushSet(set)
	}
	elements := make([]nftables.SetElement, 0, len(ports))
	for _, port := range ports {
		elements = append(elements, nftables.SetElement{
			Key:     binaryutil.BigEndian.PutUint16(port),
			Timeout: lease,
		})
	}
	if len(elements) > 0 {
		if err := kernel.SetAddElements(set, elements); err != nil {
			return fmt.Errorf("refuse clients at the ports %v: %w", ports, err)
		}
	}
	t.filled = true
	if err := kernel.Flush(); err != nil {
		return fmt.Errorf("refuse clients at the ports %v: %w", ports, err)
	}
	t.filled = len(ports) > 0
	return nil
}

// remove takes the rule away. Idempotent; it blocks for milliseconds.
func (t *table) remove() error {
	kernel, err := nftables.New()
	if err != nil {
		return fmt.Errorf("reach nf_tables: %w", err)
	}
	owner, _ := t.names()
	kernel.AddTable(owner)
	kernel.DelTable(owner)
	if err := kernel.Flush(); err != nil {
		return fmt.Errorf("remove the table %s: %w", tableName, err)
	}
	return nil
}

// refusals is how many connections were refused since the rule was installed.
func (t *table) refusals() (uint64, error) {
	kernel, err := nftables.New()
	if err != nil {
		return 0, fmt.Errorf("reach nf_tables: %w", err)
	}
	owner, _ := t.names()
	rules, err := kernel.GetRules(owner, &nftables.Chain{Table: owner, Name: chainName})
	if err != nil {
		return 0, fmt.Errorf("read the rules of the table %s: %w", tableName, err)
	}
	for _, rule := range rules {
		for _, e := range rule.Exprs {
			if counter, ok := e.(*expr.Counter); ok {
				return counter.Packets, nil
			}
		}
	}
	return 0, fmt.Errorf("the table %s has no rule that counts", tableName)
}

// comesFrom matches packets from an address.
func comesFrom(from netip.Prefix) []expr.Any {
	family := byte(unix.NFPROTO_IPV4)
	offset := uint32(ipv4Source)
	if from.Addr().Is6() {
		family = unix.NFPROTO_IPV6
		offset = ipv6Source
	}
	address := from.Masked().Addr().AsSlice()
	size := uint32(len(address))
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: registerUsed},
		&expr.Cmp{Op: expr.CmpOpEq, Register: registerUsed, Data: []byte{family}},
		&expr.Payload{
			DestRegister: registerUsed,
			Base:         expr.PayloadBaseNetworkHeader,
			Offset:       offset,
			Len:          size,
		},
		&expr.Bitwise{
			SourceRegister: registerUsed,
			DestRegister:   registerUsed,
			Len:            size,
			Mask:           net.CIDRMask(from.Bits(), len(address)*8),
			Xor:            make([]byte, size),
		},
		&expr.Cmp{
			Op:       expr.CmpOpEq,
			Register: registerUsed,
			Data:     address,
		},
	}
}

// beginsAt matches the first packet of a connection to a port of the set: of the four flags that say what a segment is for,
// SYN alone.
func beginsAt(ports *nftables.Set) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: registerUsed},
		&expr.Cmp{Op: expr.CmpOpEq, Register: registerUsed, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{
			DestRegister: registerUsed,
			Base:         expr.PayloadBaseTransportHeader,
			Offset:       tcpFlags,
			Len:          1,
		},
		&expr.Bitwise{
			SourceRegister: registerUsed,
			DestRegister:   registerUsed,
			Len:            1,
			Mask:           []byte{flagFIN | flagSYN | flagRST | flagACK},
			Xor:            []byte{0},
		},
		&expr.Cmp{Op: expr.CmpOpEq, Register: registerUsed, Data: []byte{flagSYN}},
		&expr.Payload{
			DestRegister: registerUsed,
			Base:         expr.PayloadBaseTransportHeader,
			Offset:       tcpPort,
			Len:          2,
		},
		&expr.Lookup{
			SourceRegister: registerUsed,
			SetName:        ports.Name,
			SetID:          ports.ID,
		},
	}
}
