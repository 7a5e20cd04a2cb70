//! Measures transactions a second: `transactions SECONDS MEMBER,MEMBER…`.
//!
//! Each transaction compares a fence and writes one or more keys, as a store does. It prints a
//! table by the bytes and keys of a transaction and the number in flight, with the processor
//! time of this client, so that it can be taken off.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement reads the clock and prints"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use berth_etcd::{EtcdClient, EtcdOptions, KeyRange, Transaction};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [seconds, members] = &arguments[..] else {
        return Err("transactions SECONDS MEMBER,MEMBER…".into());
    };
    let seconds = Duration::from_secs_f64(seconds.parse()?);
    let options = EtcdOptions {
        members: members.split(',').map(ToOwned::to_owned).collect(),
        tls: None,
        credentials: None,
        timeout: Duration::from_secs(10),
        attempt_timeout: Duration::from_secs(5),
    };
    let client = EtcdClient::new(options)?;
    let fence = client.transact(&Transaction::default().put("measure/fence", "")).await?.revision;
    let fence = client.get("measure/fence").await?.0.map_or(fence, |entry| entry.created_at);
    println!("keys  bytes  in flight     txn/s   p50 ms   p99 ms      MB/s");
    for (keys, bytes, in_flight) in [
        (1, 256, 1),
        (1, 256, 4),
        (1, 256, 16),
        (1, 256, 64),
        (1, 8 << 10, 1),
        (1, 8 << 10, 4),
        (1, 64 << 10, 1),
        (1, 64 << 10, 4),
        (1, 512 << 10, 1),
        (1, 1 << 20, 1),
        (3, 256, 1),
        (3, 256, 16),
        (3, 256, 64),
        (64, 256, 1),
        (64, 256, 4),
    ] {
        measure(&client, fence, seconds, keys, bytes, in_flight).await?;
        let (_, revision) = client.get("measure/fence").await?;
        client.transact(&Transaction::default().delete(KeyRange::prefix(b"measure/x/"))).await?;
        client.compact(revision).await?;
    }
    Ok(())
}

async fn measure(
    client: &EtcdClient,
    fence: i64,
    seconds: Duration,
    keys: u64,
    bytes: usize,
    in_flight: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let number = Arc::new(AtomicU64::new(0));
    let (begin, value) = (Instant::now(), bytes::Bytes::from(vec![b'x'; bytes]));
    let lanes = (0..in_flight).map(|_| {
        let (client, number, value) = (client.clone(), Arc::clone(&number), value.clone());
        tokio::spawn(async move {
            let mut times = Vec::new();
            while begin.elapsed() < seconds {
                let mut transaction = Transaction::default().if_created_at("measure/fence", fence);
                for _ in 0..keys {
                    let key = format!("measure/x/{:016x}", number.fetch_add(1, Ordering::Relaxed));
                    transaction = transaction.put(key, value.clone());
                }
                let start = Instant::now();
                client.transact(&transaction).await?;
                times.push(start.elapsed());
            }
            Ok::<_, berth_etcd::EtcdError>(times)
        })
    });
    let lanes: Vec<_> = lanes.collect();
    let mut times = Vec::new();
    for lane in lanes {
        times.extend(lane.await??);
    }
    let elapsed = begin.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let rate = times.len() as f64 / elapsed;
    let megabytes = rate * keys as f64 * bytes as f64 / 1e6;
    println!("{keys:4} {bytes:6} {in_flight:10} {rate:9.0} {:8.2} {:8.2} {megabytes:9.1}", at(0.5), at(0.99));
    Ok(())
}
