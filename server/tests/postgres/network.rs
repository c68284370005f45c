//! A node behind a bad network: cut off in each direction, slow, and with losses.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use claimgate_server::store::postgres::{PgStore, Server, Settings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, sleep, sleep_until};

use super::engine::{Engine, runtime, skip_fault};
use super::node_process::NodeProcess;
use super::nodes::{sign_in, until};
use super::people::{logout, of_sid};
use super::record::{Record, Violation, clock};

/// The bound of the nodes of these tests.
const BOUND: Duration = Duration::from_secs(1);
/// A bound that is none: a node that trusts its memory whatever it hears.
const NEVER: Duration = Duration::from_secs(3600);

fn settings() -> Settings {
    Settings { revocation_bound: BOUND, ..Settings::default() }
}

/// Runs a program to its end. Returns what it says if it fails.
fn run(words: &str) -> Result<(), String> {
    let (program, arguments) = words.split_once(' ').unwrap();
    let output = Command::new(program).args(arguments.split(' ')).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{words}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// A network of its own for one node, joined to this one by a pair of interfaces. It goes with this value.
struct Link {
    name: String,
    /// The first three numbers of both addresses: this end is `.1`, the node's is `.2`.
    network: String,
}

impl Link {
    /// Makes a network; `None`, with a line that says so, where this process may not.
    fn new() -> Option<Self> {
        static LINKS: AtomicU32 = AtomicU32::new(0);
        let number = std::process::id() * 8 + LINKS.fetch_add(1, Ordering::Relaxed);
        let network = format!("10.{}.{}", 192 + number / 256 % 64, number % 256);
        let link = Self { name: format!("cg{}", number % 1_000_000), network };
        link.set_up().map_err(|error| skip_fault(&format!("networks cannot be made here: {error}"))).ok()?;
        Some(link)
    }

    fn set_up(&self) -> Result<(), String> {
        let Self { name, network } = self;
        if !rustix::process::geteuid().is_root() {
            return Err("not root".to_owned());
        }
        run(&format!("ip netns add {name}"))?;
        run(&format!("ip link add {name}h type veth peer name {name}n netns {name}"))?;
        run(&format!("ip address add {network}.1/30 dev {name}h"))?;
        run(&format!("ip link set {name}h up"))?;
        run(&format!("ip -n {name} address add {network}.2/30 dev {name}n"))?;
        run(&format!("ip -n {name} link set {name}n up"))
    }

    /// Starts a node in the network.
    fn start(&self, database: &str, bound: Duration) -> NodeProcess {
        let address = format!("host={}.1 user={database} dbname={database}", self.network);
        NodeProcess::start(&["ip", "netns", "exec", &self.name], &address, bound)
    }

    /// Has the packets of each direction vanish, or (`cut` is `false`) arrive: those to the node and those from it.
    /// They are sent to an address of hardware that no interface has.
    fn cut(&self, [to, from]: [bool; 2], cut: bool) {
        let Self { name, network } = self;
        let way = if cut { "replace" } else { "del" };
        let nowhere = if cut { " lladdr 02:00:00:00:00:01 nud permanent" } else { "" };
        if to {
            run(&format!("ip neigh {way} {network}.2 dev {name}h{nowhere}")).unwrap();
        }
        if from {
            run(&format!("ip -n {name} neigh {way} {network}.1 dev {name}n{nowhere}")).unwrap();
        }
    }

    /// Has one packet in five vanish in each direction; what it takes is a part of the kernel that not all have.
    fn lose(&self) -> Result<(), String> {
        let Self { name, .. } = self;
        let by_netem = || {
            run(&format!("tc -n {name} qdisc add dev {name}n root netem loss 20%"))?;
            run(&format!("tc qdisc add dev {name}h root netem loss 20%"))
        };
        let by_nftables = || {
            run(&format!("ip netns exec {name} nft add table ip loss"))?;
            for hook in ["input", "output"] {
                let chain = format!("{{ type filter hook {hook} priority 0 ; }}");
                run(&format!("ip netns exec {name} nft add chain ip loss {hook} {chain}"))?;
                let rule = "numgen random mod 100 < 20 drop";
                run(&format!("ip netns exec {name} nft add rule ip loss {hook} {rule}"))?;
            }
            Ok(())
        };
        by_netem().or_else(|netem| by_nftables().map_err(|nftables: String| format!("{netem}; {nftables}")))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // With the namespace go its interface and the other end.
        drop(run(&format!("ip netns delete {}", self.name)));
    }
}

fn is_late(violations: &[Violation]) -> bool {
    matches!(violations, [Violation::Late { .. }])
}

#[test]
fn a_node_that_is_cut_off_in_either_direction_stops_within_the_bound() {
    const BOTH: [bool; 2] = [true, true];
    let cuts = [(BOUND, BOTH), (BOUND, [true, false]), (BOUND, [false, true]), (NEVER, BOTH)];
    let links: Option<Vec<_>> = cuts.into_iter().map(|cut| Some((Link::new()?, cut))).collect();
    let Some(links) = links else { return };
    let addresses: Vec<_> = links.iter().map(|(link, _)| format!("{}.1", link.network)).collect();
    let Some(engine) = Engine::start_at(&addresses.join(",")) else { return };
    runtime().block_on(async {
        let database = engine.new_database().await;
        let here = PgStore::open(engine.server(&database), settings()).await.unwrap();
        let ended = sign_in(&here, "ada", Some("s")).await;
        let live = sign_in(&here, "grace", Some("t")).await;
        let mut nodes: Vec<_> =
            links.iter().map(|(link, (bound, _))| link.start(&database, *bound)).collect();
        for node in &mut nodes {
            node.serve(ended);
            node.serve(live);
            node.until(ended, "live", Duration::ZERO).await;
            node.until(live, "live", Duration::ZERO).await;
        }
        links.iter().for_each(|(link, (_, directions))| link.cut(*directions, true));
        here.apply_logouts(&[logout("1", of_sid("s"))]).await.unwrap();
        let mut record = Record::default();
        record.acknowledge("1", Some(ended));
        let acknowledged = clock();
        let (broken, nodes) = nodes.split_last().unwrap();
        for node in nodes {
            node.until(ended, "unsure", acknowledged).await;
            node.until(live, "unsure", acknowledged).await;
        }
        sleep(BOUND * 2).await;
        let served = |node: &NodeProcess| record.clone().with_served_of(&node.record());
        for node in nodes {
            assert_eq!(served(node).check(BOUND, &here).await, []);
        }
        assert!(is_late(&served(broken).check(BOUND, &here).await), "the check sees a node without a bound");

        links.iter().for_each(|(link, (_, directions))| link.cut(*directions, false));
        let mended = clock();
        for node in nodes.iter().chain([broken]) {
            node.until(ended, "over", mended).await;
            node.until(live, "live", mended).await;
        }
        for node in nodes {
            assert_eq!(served(node).check(BOUND, &here).await, []);
        }
    });
}

#[test]
fn a_node_that_loses_one_packet_in_five_serves_and_keeps_the_bound() {
    let Some(link) = Link::new() else { return };
    if let Err(error) = link.lose() {
        skip_fault(&format!("packets cannot be lost here: {error}"));
        return;
    }
    let Some(engine) = Engine::start_at(&format!("{}.1", link.network)) else { return };
    runtime().block_on(async {
        let database = engine.new_database().await;
        let here = PgStore::open(engine.server(&database), settings()).await.unwrap();
        let mut node = link.start(&database, BOUND);
        let mut record = Record::default();
        for number in 0..3 {
            let (subject, sid) = (format!("person {number}"), format!("s{number}"));
            let session = sign_in(&here, &subject, Some(&sid)).await;
            node.serve(session);
            node.until(session, "live", Duration::ZERO).await;
            let jti = number.to_string();
            here.apply_logouts(&[logout(&jti, of_sid(&sid))]).await.unwrap();
            record.acknowledge(&jti, Some(session));
            node.until(session, "over", clock()).await;
        }
        assert_eq!(record.with_served_of(&node.record()).check(BOUND, &here).await, []);
    });
}

/// Passes on what is read, each part after a time.
async fn pass_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
) -> Option<()> {
    let (queue, mut queued) = unbounded_channel();
    let read = async move {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            queue.send((Instant::now() + delay, bytes[..count].to_vec())).ok()?;
        }
        Some(())
    };
    let write = async move {
        while let Some((due, bytes)) = queued.recv().await {
            sleep_until(due).await;
            to.write_all(&bytes).await.ok()?;
        }
        to.shutdown().await.ok()
    };
    tokio::join!(read, write).1
}

/// Serves the database at a port to which each request, and from which each answer, takes longer.
async fn slow(engine: &Engine, [there, back]: [u64; 2]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, socket) = (listener.local_addr().unwrap().port(), engine.socket());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = UnixStream::connect(&socket).await.unwrap();
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            tokio::spawn(pass_on(from_client, to_server, Duration::from_millis(there)));
            tokio::spawn(pass_on(from_server, to_client, Duration::from_millis(back)));
        }
    });
    port
}

#[test]
fn a_node_300_ms_away_serves_and_keeps_the_bound() {
    let Some(engine) = Engine::shared() else { return };
    // The way there, the way back, and both.
    runtime().block_on(async {
        tokio::join!(
            keeps_the_bound_from_afar(engine, [0, 300]),
            keeps_the_bound_from_afar(engine, [300, 0]),
            keeps_the_bound_from_afar(engine, [150, 150])
        )
    });
}

async fn keeps_the_bound_from_afar(engine: &Engine, delays: [u64; 2]) {
    let database = engine.new_database().await;
    let here = PgStore::open(engine.server(&database), settings()).await.unwrap();
    let mut config = tokio_postgres::Config::new();
    let port = slow(engine, delays).await;
    config.host("127.0.0.1").port(port).user(&database).dbname(&database);
    let far = PgStore::open(Server::new(config, None), settings()).await.unwrap();
    let session = sign_in(&far, "ada", Some("s")).await;
    until(&far, session, Some("ada")).await;
    here.apply_logouts(&[logout("1", of_sid("s"))]).await.unwrap();
    let mut record = Record::default();
    record.acknowledge("1", Some(session));
    loop {
        let asked = clock();
        match far.ask(session).await {
            Ok(Some(_)) => record.serve(session, asked),
            Ok(None) => break,
            Err(_) => {}
        }
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(record.check(BOUND, &here).await, [], "{delays:?}");
    let mut record = Record::default();
    for number in 0..3 {
        let jti = format!("far {number}");
        far.apply_logouts(&[logout(&jti, of_sid("s"))]).await.unwrap();
        record.acknowledge(&jti, None);
    }
    assert_eq!(record.check(BOUND, &here).await, [], "{delays:?}");
}

/// Serves the database at a port that closes each connection on which a statement has these words.
async fn closing_at(engine: &Engine, words: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, socket) = (listener.local_addr().unwrap().port(), engine.socket());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = UnixStream::connect(&socket).await.unwrap();
            let ((mut from_client, to_client), (from_server, mut to_server)) =
                (client.into_split(), server.into_split());
            tokio::spawn(pass_on(from_server, to_client, Duration::ZERO));
            tokio::spawn(async move {
                let mut bytes = vec![0; 1 << 16];
                while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
                    let has_words = bytes[..count].windows(words.len()).any(|part| part == words.as_bytes());
                    if has_words || to_server.write_all(&bytes[..count]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

#[test]
fn a_logout_whose_user_cannot_be_read_ends_its_session() {
    let Some(engine) = Engine::shared() else { return };
    runtime().block_on(async {
        let database = engine.new_database().await;
        let here = PgStore::open(engine.server(&database), settings()).await.unwrap();
        let mut config = tokio_postgres::Config::new();
        let port = closing_at(engine, "WITH ORDINALITY AS named").await;
        config.host("127.0.0.1").port(port).user(&database).dbname(&database);
        let node = PgStore::open(Server::new(config, None), settings()).await.unwrap();
        for (node, sid, is_read) in [(&here, "s", true), (&node, "t", false)] {
            let session = sign_in(node, sid, Some(sid)).await;
            let ended = node.log_out_with_owners(&[logout(sid, of_sid(sid))]).await.unwrap();
            let ended = ended[0].as_ref().unwrap();
            assert_eq!((ended.ended.sessions, ended.owner.is_some()), (1, is_read), "{sid}");
            until(&here, session, None).await;
        }
    });
}
