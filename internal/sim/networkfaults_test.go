package sim

// networkFaults cut ways of the network.
var networkFaults = map[string]faultKind{
	"cutWhole": func(w *world, f fault, m *memberSim) {
		w.cutBothWays(f, m, w.peerSite(m), siteAPI, siteOp0, siteOp1, siteOut)
	},
	"cutAllButPeer": func(w *world, f fault, m *memberSim) { w.cutBothWays(f, m, siteAPI, siteOp0, siteOp1) },
	"cutAPI":        func(w *world, f fault, m *memberSim) { w.cutBothWays(f, m, siteAPI) },
	"cutPeer":       func(w *world, f fault, m *memberSim) { w.cutBothWays(f, m, w.peerSite(m)) },
	"cutOperator":   func(w *world, f fault, m *memberSim) { w.cutBothWays(f, m, siteOp0, siteOp1) },
	"cutOneWay": func(w *world, f fault, m *memberSim) {
		w.cutWays(f, m, [2]site{m.site, []site{w.peerSite(m), siteAPI, siteOp0}[w.rng.IntN(3)]})
	},
	"lateCommands": func(w *world, f fault, _ *memberSim) {
		w.lateCommands++
		w.after(f.lasts, func() { w.lateCommands-- })
	},
}

func (w *world) peerSite(m *memberSim) site { return w.members[1-m.index].site }

func (w *world) cutWays(f fault, m *memberSim, ways ...[2]site) {
	w.during(f, func() {
		for _, way := range ways {
			w.cut[way[0]][way[1]]++
		}
	}, func() {
		for _, way := range ways {
			w.cut[way[0]][way[1]]--
		}
		m.kubelet()
	})
}

func (w *world) cutBothWays(f fault, m *memberSim, others ...site) {
	var ways [][2]site
	for _, o := range others {
		ways = append(ways, [2]site{m.site, o}, [2]site{o, m.site})
	}
	w.cutWays(f, m, ways...)
}
