//! Who is measured when: in each round every cell, in each cell every proxy one after another, so that those whose figures are
//! compared ran seconds apart; and every other round backwards, so that nobody always comes first.

use super::cell::Cell;
use super::rival::Proxy;

/// One run, of the first round or a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) round: usize,
    pub(super) cell: Cell,
    pub(super) proxy: Proxy,
}

/// All runs in their order.
pub(super) fn turns(rounds: usize, cells: &[Cell]) -> Vec<Turn> {
    let mut turns = Vec::new();
    for round in 0..rounds {
        let mut proxies = Proxy::ALL;
        if round % 2 == 1 {
            proxies.reverse();
        }
        for cell in cells {
            turns.extend(proxies.map(|proxy| Turn { round, cell: *cell, proxy }));
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn together_in_a_cell_and_backwards_every_other_round() {
        let cells = &Cell::all()[..2];
        let turns = turns(3, cells);
        let names: Vec<String> = turns.iter().map(|t| format!("{} {} {}", t.round, t.cell, t.proxy)).collect();
        let forwards = ["none", "nginx", "haproxy", "go", "activator"];
        let backwards = ["activator", "go", "haproxy", "nginx", "none"];
        let mut wanted = Vec::new();
        for (round, proxies) in [forwards, backwards, forwards].iter().enumerate() {
            for cell in ["http1/1/13", "http1/1/16384"] {
                wanted.extend(proxies.iter().map(|proxy| format!("{round} {cell} {proxy}")));
            }
        }
        assert_eq!(names, wanted);
    }
}
