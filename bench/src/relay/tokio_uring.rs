//! A relay as a programmer would write it on tokio-uring: two tasks per tunnel, 64 KiB owned by each.

use std::io::Result;
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;

use tokio_uring::buf::BoundedBuf;
use tokio_uring::net::{TcpListener, TcpStream};

use super::{Forward, listen};

pub(super) fn run(forwards: &[Forward]) -> Result<()> {
    tokio_uring::start(async {
        let mut accepting = Vec::new();
        for forward in forwards {
            let listener = listen(forward.listen)?;
            // On a nonblocking socket the ring answers EAGAIN instead of waiting.
            listener.set_nonblocking(false)?;
            let listener = TcpListener::from_std(listener);
            accepting.push(tokio_uring::spawn(accept(listener, forward.target)));
        }
        for task in accepting {
            task.await??;
        }
        Ok(())
    })
}

async fn accept(listener: TcpListener, target: SocketAddr) -> Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        tokio_uring::spawn(relay(client, target));
    }
}

/// An error ends the tunnel and is nobody's news.
async fn relay(client: TcpStream, target: SocketAddr) {
    let Ok(upstream) = TcpStream::connect(target).await else { return };
    let _ = client.set_nodelay(true);
    let _ = upstream.set_nodelay(true);
    let (client, upstream) = (Rc::new(client), Rc::new(upstream));
    let up = tokio_uring::spawn(copy(client.clone(), upstream.clone()));
    copy(upstream, client).await;
    let _ = up.await;
}

async fn copy(from: Rc<TcpStream>, to: Rc<TcpStream>) {
    let how = match copy_until_end(&from, &to).await {
        Ok(()) => Shutdown::Write,
        Err(_) => {
            let _ = from.shutdown(Shutdown::Both);
            Shutdown::Both
        }
    };
    let _ = to.shutdown(how);
}

async fn copy_until_end(from: &TcpStream, to: &TcpStream) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let (result, filled) = from.read(buffer).await;
        let len = result?;
        if len == 0 {
            return Ok(());
        }
        let (result, sent) = to.write_all(filled.slice(..len)).await;
        result?;
        buffer = sent.into_inner();
    }
}
