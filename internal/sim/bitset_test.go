package sim

// bitset is a set of transactions.
type bitset []uint64

func (b bitset) has(i int) bool { return i>>6 < len(b) && b[i>>6]&(1<<(i&63)) != 0 }

func (b *bitset) add(i int) {
	for i>>6 >= len(*b) {
		*b = append(*b, 0)
	}
	(*b)[i>>6] |= 1 << (i & 63)
}

func (b bitset) remove(i int) {
	if i>>6 < len(b) {
		b[i>>6] &^= 1 << (i & 63)
	}
}

func (b bitset) clone() bitset { return append(bitset(nil), b...) }

// missing is the first member of b that is in none of the others, or -1.
func (b bitset) missing(others ...bitset) int {
	for i, word := range b {
		for _, o := range others {
			if i < len(o) {
				word &^= o[i]
			}
		}
		if word != 0 {
			for bit := range 64 {
				if word&(1<<bit) != 0 {
					return i<<6 + bit
				}
			}
		}
	}
	return -1
}
