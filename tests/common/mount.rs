//! File systems in image files, mounted for a test; and how to take their power away. Needs root and loop devices.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// `_IOR('X', 125, u32)`: the file system stops at once.
const FS_IOC_SHUTDOWN: libc::c_ulong = 0x8004_587d;
/// Without writing its journal: what a power cut leaves.
const NO_LOG_FLUSH: u32 = 2;

/// A mounted file system; unmounted when dropped.
pub struct Mount {
    source: Option<PathBuf>,
    make: Vec<String>,
    kind: String,
    options: String,
    dir: PathBuf,
    mounted: bool,
}

/// Runs a program; `Err` has what it said.
fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let done = Command::new(program).args(args).stdin(Stdio::null()).output();
    let done = done.map_err(|e| format!("{program}: {e}"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!(
        "{program} {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&done.stderr).trim()
    ))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

impl Mount {
    /// Makes a file system of `mib` in an image below `base` and mounts it. `Err` says why this machine cannot.
    pub fn image(base: &Path, mib: u64, make: &[&str]) -> Result<Mount, String> {
        let (image, dir) = (base.join("image"), base.join("mounted"));
        std::fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
        let file = File::create(&image).map_err(|e| e.to_string())?;
        file.set_len(mib << 20).map_err(|e| e.to_string())?;
        let mut mount = Mount {
            source: Some(image),
            make: make.iter().map(|word| word.to_string()).collect(),
            kind: make[0].trim_start_matches("mkfs.").to_string(),
            options: "loop".to_string(),
            dir,
            mounted: false,
        };
        mount.make_anew()?;
        mount.mount()?;
        Ok(mount)
    }

    /// Makes an empty file system in the image, which is not mounted.
    pub fn make_anew(&self) -> Result<(), String> {
        let image = self.source.as_deref().map_or("none", text);
        let words: Vec<&str> = self.make.iter().map(String::as_str).chain([image]).collect();
        run(words[0], &words[1..])
    }

    /// Mounts a tmpfs of `mib`.
    pub fn tmpfs(base: &Path, mib: u64) -> Result<Mount, String> {
        let dir = base.join("mounted");
        std::fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
        let mut mount = Mount {
            source: None,
            make: Vec::new(),
            kind: "tmpfs".to_string(),
            options: format!("size={mib}m"),
            dir,
            mounted: false,
        };
        mount.mount()?;
        Ok(mount)
    }

    /// Where it is mounted.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Mounts it again.
    pub fn mount(&mut self) -> Result<(), String> {
        let options = self.options.clone();
        self.mount_with(&options)
    }

    fn mount_with(&mut self, options: &str) -> Result<(), String> {
        let source = self.source.as_deref().map_or("none", text);
        run("mount", &["-t", &self.kind, "-o", options, source, text(&self.dir)])?;
        self.mounted = true;
        Ok(())
    }

    /// Mounts it again, read-only.
    pub fn mount_read_only(&mut self) -> Result<(), String> {
        let options = format!("{},ro", self.options);
        self.mount_with(&options)
    }

    /// Unmounts it; nobody may use it any more. (A process that was killed lets go a moment later.)
    pub fn unmount(&mut self) -> Result<(), String> {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            match run("umount", &[text(&self.dir)]) {
                Ok(()) => break,
                Err(why) if Instant::now() > end => return Err(why),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        self.mounted = false;
        Ok(())
    }

    /// Cuts the power: from now on nothing reaches the disk, and what was not synced never will.
    pub fn cut(&self) -> Result<(), String> {
        let dir = File::open(&self.dir).map_err(|e| e.to_string())?;
        // SAFETY: a live descriptor, and a number that outlives the call.
        let answer = unsafe { libc::ioctl(dir.as_raw_fd(), FS_IOC_SHUTDOWN, &NO_LOG_FLUSH) };
        if answer == 0 {
            return Ok(());
        }
        Err(format!("shutdown ioctl: {}", std::io::Error::last_os_error()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.mounted && run("umount", &[text(&self.dir)]).is_err() {
            // Somebody still has a file open: it goes with the last one.
            let _ = run("umount", &["-l", text(&self.dir)]);
        }
    }
}
