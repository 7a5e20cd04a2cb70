//! Clients on connections of their own, which record their requests and the responses.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use berth_system_tests::http::Client;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::cell::{Amounts, CONSUMERS, Call, Cell, PROVIDERS, Write};
use crate::fleet::{self, CELLS, Outcome};
use crate::linearizability::Event;
use crate::names::Names;

/// The number of concurrent clients.
pub(crate) const CLIENTS: usize = 6;

/// Calls of one client to one cell are few enough for the checker.
const CALLS: usize = 150;

/// How long a client waits after a response that leaves the outcome open.
const PAUSE: Duration = Duration::from_millis(5);

/// What happened in each cell.
pub(crate) type Histories = [Vec<Event>; CELLS];

/// What a client knows, from its own answers, and what it has seen happen.
struct ClientState {
    rng: ChaCha8Rng,
    known: [Cell; CELLS],
    happened: Histories,
    start: Instant,
}

/// Has clients ask until `stop` is set or the service is gone.
pub(crate) fn run(
    address: &str,
    seed: u64,
    cells: &[Cell; CELLS],
    names: &mut [Names],
    start: Instant,
    stop: &AtomicBool,
) -> Histories {
    let ask = |(number, names): (u64, &mut Names)| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        let mut state = ClientState { rng, known: cells.clone(), happened: Histories::default(), start };
        state.run(address, names, stop);
        state.happened
    };
    thread::scope(|scope| {
        let ask = &ask;
        let clients: Vec<_> =
            (1..).zip(names.iter_mut()).map(|client| scope.spawn(move || ask(client))).collect();
        let mut all = Histories::default();
        for client in clients {
            let happened = client.join().expect("what a client saw was in order");
            all.iter_mut().zip(happened).for_each(|(all, events)| all.extend(events));
        }
        all
    })
}

/// Asks everything there is to ask, one after the other.
pub(crate) fn audit(client: &mut Client, start: Instant) -> (Histories, [Cell; CELLS]) {
    let (mut histories, mut cells) = (Histories::default(), <[Cell; CELLS]>::default());
    for cell in 0..CELLS {
        for call in fleet::questions() {
            let began = since(start);
            let outcome = fleet::call(client, cell, &call).expect("it runs");
            let Outcome::Answered(answer) = outcome else { panic!("the outcome is open: {outcome:?}") };
            fleet::learn(&mut cells[cell], &call, answer);
            histories[cell].push(Event { began, ended: Some((since(start), answer)), given_up: None, call });
        }
    }
    (histories, cells)
}

fn since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).expect("a test ends within centuries")
}

impl ClientState {
    fn run(&mut self, address: &str, names: &mut Names, stop: &AtomicBool) {
        let Ok(mut client) = Client::new(address) else { return };
        while !stop.load(Ordering::Relaxed) {
            let go_on = if self.rng.random_ratio(1, 8) {
                names.change(&mut client, &mut self.rng).is_ok()
            } else {
                self.ask(&mut client)
            };
            if !go_on {
                return;
            }
        }
    }

    /// One call; returns whether the service is still there.
    fn ask(&mut self, client: &mut Client) -> bool {
        let cell = self.rng.random_range(0..CELLS);
        if self.happened[cell].len() >= CALLS {
            thread::sleep(PAUSE);
            return true;
        }
        let call = self.draw(cell);
        let began = since(self.start);
        let answer = fleet::call(client, cell, &call);
        let ended = since(self.start);
        let mut event = Event { began, ended: None, given_up: None, call };
        match answer {
            Ok(Outcome::Answered(answer)) => {
                fleet::learn(&mut self.known[cell], &event.call, answer);
                event.ended = Some((ended, answer));
            }
            Ok(Outcome::Unknown) => event.given_up = Some(ended),
            Ok(Outcome::Refused) => {
                thread::sleep(PAUSE);
                return true;
            }
            Err(_) => {}
        }
        self.happened[cell].push(event);
        answer.is_ok()
    }

    fn draw(&mut self, cell: usize) -> Call {
        let (provider, consumer) = (self.rng.random_range(0..PROVIDERS), self.rng.random_range(0..CONSUMERS));
        match self.rng.random_range(0..12) {
            0..4 => Call::Write(vec![self.write(cell, consumer)]),
            4 => {
                let other = (consumer + 1) % CONSUMERS;
                Call::Write(vec![self.write(cell, consumer), self.write(cell, other)])
            }
            5 => Call::Remove(consumer),
            6 => {
                let generation = self.known[cell].providers[provider].generation;
                Call::SetTotal { provider, generation, total: self.rng.random_range(4..14) }
            }
            7 | 8 => Call::ReadConsumer(consumer),
            9 | 10 => Call::ReadStock(provider),
            _ => Call::ReadUsed(provider),
        }
    }

    /// By what is known of the consumer; others may know more.
    fn write(&mut self, cell: usize, consumer: usize) -> Write {
        let generation = self.known[cell].consumers[consumer].map(|held| held.generation);
        let mut amounts: Amounts = [0; PROVIDERS];
        amounts[self.rng.random_range(0..PROVIDERS)] = self.rng.random_range(1..6);
        if self.rng.random_ratio(1, 4) {
            amounts[0] += 1;
        }
        if generation.is_some() && self.rng.random_ratio(1, 3) {
            amounts = [0; PROVIDERS];
        }
        Write { consumer, generation, amounts }
    }
}
