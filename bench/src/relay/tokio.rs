//! A relay as a programmer would write it on tokio: one thread, a task per tunnel, `copy_bidirectional`.

use std::io::Result;
use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Forward, listen};

pub(super) fn run(forwards: &[Forward]) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let mut accepting = JoinSet::new();
        for forward in forwards {
            let listener = TcpListener::from_std(listen(forward.listen)?)?;
            accepting.spawn(accept(listener, forward.target));
        }
        while let Some(ended) = accepting.join_next().await {
            ended??;
        }
        Ok(())
    })
}

async fn accept(listener: TcpListener, target: SocketAddr) -> Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        tokio::spawn(relay(client, target));
    }
}

/// An error ends the tunnel and is nobody's news.
async fn relay(mut client: TcpStream, target: SocketAddr) {
    let Ok(mut upstream) = TcpStream::connect(target).await else { return };
    let _ = client.set_nodelay(true);
    let _ = upstream.set_nodelay(true);
    let _ = copy_bidirectional(&mut client, &mut upstream).await;
}
