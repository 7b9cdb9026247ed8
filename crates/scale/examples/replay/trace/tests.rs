use std::fs;

use super::*;
use crate::durations;

/// A file that is gone with the test.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("replay-{}-{name}.csv", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = fs::remove_file(&self.0);
    }
}

fn error(name: &str, text: &str) -> String {
    let file = Temporary::new(name, text);
    let error = read(&file.0, 10, None).unwrap_err().to_string();
    error.replace(&file.0.display().to_string(), "FILE")
}

#[test]
fn the_2019_layout_and_its_durations() {
    let text = "HashOwner,HashApp,HashFunction,Trigger,1,2,3\no,a,f,http,0,2,1\no,a,g,timer,1,0,0\n";
    let file = Temporary::new("2019", text);
    let mut functions = read(&file.0, 10, None).unwrap();
    assert_eq!(functions.len(), 2);
    assert_eq!(functions[0].name, ["o", "a", "f"]);
    assert_eq!(functions[0].calls, Calls::PerMinute(vec![0, 2, 1]));
    assert_eq!(read(&file.0, 1, Some(2)).unwrap()[0].calls, Calls::PerMinute(vec![0, 2]));

    let text = "HashOwner,HashApp,HashFunction,Average,Count,Minimum,Maximum,percentile_Average_0,percentile_Average_100\n\
                o,a,g,5,3,1,9,1,9\n";
    let file = Temporary::new("durations", text);
    durations::read(&file.0).unwrap().give(&mut functions);
    assert_eq!(functions[0].durations, None);
    assert_eq!(functions[1].durations.as_ref().unwrap().at(0.5), 5);
}

#[test]
fn the_2021_layout() {
    let text = "app,func,end_timestamp,duration\na,f,10.5,0.5\na,g,61,0.25\na,f,70,70.5\na,f,200,0\n";
    let file = Temporary::new("2021", text);
    let functions = read(&file.0, 10, None).unwrap();
    assert_eq!(functions.len(), 2);
    // What began before the trace did begins with it.
    assert_eq!(functions[0].calls, Calls::Exact(vec![(10_000, 500), (0, 70_500), (200_000, 0)]));
    assert_eq!(functions[1].calls, Calls::Exact(vec![(60_750, 250)]));
    let first = read(&file.0, 1, Some(1)).unwrap();
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].calls, Calls::Exact(vec![(10_000, 500), (0, 70_500)]));
}

#[test]
fn errors_name_the_line_the_column_and_what_was_wanted() {
    assert!(error("no-layout", "a,b\n1,2\n").contains("FILE line 1: the header is that of no known layout"));
    let skips = error("skips", "HashOwner,HashApp,HashFunction,Trigger,1,3\no,a,f,http,0,1\n");
    assert!(skips.contains("FILE line 1") && skips.contains("minutes 1, 2, 3"), "{skips}");
    let count = error("count", "HashOwner,HashApp,HashFunction,Trigger,1,2\no,a,f,http,0,1\no,a,g,http,-1,1\n");
    assert_eq!(count, "FILE line 3, column 5: \"-1\" is not a number of requests");
    let short = error("short", "HashOwner,HashApp,HashFunction,Trigger,1,2\no,a,f,http,0\n");
    assert_eq!(short, "FILE line 2: 5 columns, where the header has 6");
    let nan = error("nan", "app,func,end_timestamp,duration\na,f,1,NaN\n");
    assert_eq!(nan, "FILE line 2, column 4: \"NaN\" is not a number of seconds, at least 0");
    assert_eq!(error("empty", "app,func,end_timestamp,duration\n"), "FILE: there is nothing in it but a header");
    let missing = read(Path::new("/no/such/file"), 1, None).unwrap_err().to_string();
    assert!(missing.starts_with("/no/such/file: "), "{missing}");
    let file = Temporary::new("not-durations", "HashOwner,HashApp,HashFunction,Average\n");
    let found = durations::read(&file.0).err().unwrap().to_string();
    assert!(found.contains("percentile_Average_0"), "{found}");
}
