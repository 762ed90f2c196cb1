//! Grids and plots on their way to the disk: encoded and written by a thread of their own, in the order they were drawn, while
//! training goes on.

use crate::grid;
use crate::{Error, Result};
use image::RgbImage;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// A picture to be made and written.
pub(super) struct Drawing {
    /// The step it shows.
    pub step: u64,
    /// Where it goes.
    pub path: PathBuf,
    /// Makes it.
    pub paint: Box<dyn FnOnce() -> Result<RgbImage> + Send>,
}

/// A picture on the disk.
pub(super) struct Drawn {
    /// The step it shows.
    pub step: u64,
    /// Where it is.
    pub path: PathBuf,
    /// Its file.
    pub png: Vec<u8>,
    /// Width and height in pixels.
    pub side: (u32, u32),
}

/// The thread that writes pictures. Dropping it waits until everything is written.
#[derive(Default)]
pub(super) struct Pictures {
    thread: Option<Thread>,
    /// Handed over and not collected.
    under_way: usize,
}

struct Thread {
    drawings: Sender<Drawing>,
    done: Receiver<Result<Drawn>>,
    handle: JoinHandle<()>,
}

impl Pictures {
    /// Hands over a picture. The thread starts with the first.
    ///
    /// # Errors
    /// A thread that can't be started, or died.
    pub fn draw(&mut self, drawing: Drawing) -> Result<()> {
        let path = drawing.path.clone();
        let failed = |e| Error::io(path, "starting the thread that writes pictures")(e);
        let thread = match self.thread.take() {
            Some(thread) => thread,
            None => Thread::start().map_err(failed)?,
        };
        let sent = thread.drawings.send(drawing);
        self.thread = Some(thread);
        self.under_way += 1;
        sent.map_err(|_| died())
    }

    /// The next picture that was written, in order; with `wait`, waits while there is one under way.
    ///
    /// # Errors
    /// What kept a picture from being written.
    pub fn collect(&mut self, wait: bool) -> Result<Option<Drawn>> {
        let Some(thread) = self.thread.as_ref().filter(|_| self.under_way > 0) else { return Ok(None) };
        let drawn = match wait {
            true => thread.done.recv().map_err(|_| died())?,
            false => match thread.done.try_recv() {
                Ok(drawn) => drawn,
                Err(std::sync::mpsc::TryRecvError::Empty) => return Ok(None),
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return Err(died()),
            },
        };
        self.under_way -= 1;
        drawn.map(Some)
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        if let Some(Thread { drawings, handle, .. }) = self.thread.take() {
            // The thread ends when no drawing can come any more.
            drop(drawings);
            let _ = handle.join();
        }
    }
}

impl Thread {
    fn start() -> std::io::Result<Thread> {
        let (drawings, queue) = channel::<Drawing>();
        let (report, done) = channel();
        let work = move || {
            for drawing in queue {
                // Nobody listens any more where a run ends with an error; the picture is written all the same.
                let _ = report.send(write(drawing));
            }
        };
        let handle = std::thread::Builder::new().name("pictures".into()).spawn(work)?;
        Ok(Thread { drawings, done, handle })
    }
}

fn write(drawing: Drawing) -> Result<Drawn> {
    let Drawing { step, path, paint } = drawing;
    let picture = paint()?;
    grid::save(&path, &picture, &grid::Notes::NONE)?;
    let png = std::fs::read(&path).map_err(Error::io(&path, "reading the grid"))?;
    Ok(Drawn { step, path, png, side: picture.dimensions() })
}

fn died() -> Error {
    Error::Training("the thread that writes pictures died".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawing(step: u64, path: PathBuf) -> Drawing {
        Drawing { step, path, paint: Box::new(move || Ok(RgbImage::new(step as u32 + 1, 2))) }
    }

    #[test]
    fn pictures_arrive_in_order_and_errors_with_them() {
        let dir = tempfile::tempdir().unwrap();
        let mut pictures = Pictures::default();
        assert!(pictures.collect(true).unwrap().is_none(), "nothing is waited for where nothing is under way");
        for step in 0..5 {
            pictures.draw(drawing(step, dir.path().join(format!("{step}.png")))).unwrap();
        }
        for step in 0..5 {
            let drawn = pictures.collect(true).unwrap().unwrap();
            assert_eq!((drawn.step, drawn.side), (step, (step as u32 + 1, 2)));
            assert_eq!(std::fs::read(&drawn.path).unwrap(), drawn.png);
        }
        assert!(pictures.collect(true).unwrap().is_none());
        pictures.draw(drawing(5, dir.path().join("no/such/folder.png"))).unwrap();
        let Err(error) = pictures.collect(true) else { panic!("written into no folder") };
        assert!(error.to_string().contains("folder.png"), "{error}");
        // One that fails does not keep the next from being written.
        pictures.draw(drawing(6, dir.path().join("6.png"))).unwrap();
        drop(pictures);
        assert!(dir.path().join("6.png").exists(), "what was handed over is written");
    }
}
