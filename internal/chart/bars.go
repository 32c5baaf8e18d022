package chart

// Bars is a chart of groups of bars, one of each series in every group.
type Bars struct {
	Title, Y string
	Groups   []string
	Series   []BarSeries
}

// BarSeries has a value for each group; 0 is not drawn: not measured.
type BarSeries struct {
	Name   string
	Values []float64
}

// SVG draws the chart.
func (b Bars) SVG() []byte {
	d := begin(b.Title)
	var most float64
	var names []string
	for _, s := range b.Series {
		names = append(names, s.Name)
		for _, v := range s.Values {
			most = max(most, v)
		}
	}
	at := d.yAxis(b.Y, most)
	group := float64(width-left-right) / float64(max(len(b.Groups), 1))
	bar := group * 0.8 / float64(max(len(b.Series), 1))
	for g, name := range b.Groups {
		start := left + group*(float64(g)+0.1)
		for i, s := range b.Series {
			if g >= len(s.Values) || s.Values[g] <= 0 {
				continue
			}
			x, y := start+bar*float64(i), at(s.Values[g])
			d.put(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, x, y, bar*0.92, height-bottom-y, colour(i))
			d.text(x+bar*0.46, y-4, "middle", 10, number(round(s.Values[g])))
		}
		d.text(left+group*(float64(g)+0.5), height-bottom+19, "middle", 12, name)
	}
	d.line(left, height-bottom, width-right, height-bottom, "#222")
	d.legend(names)
	return d.end()
}
