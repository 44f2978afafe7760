use atelier_search::Index;
use std::path::Path;
#[derive(serde::Deserialize)]
struct Q { query: String, files: Vec<String> }
fn main() {
    for name in std::env::args().skip(1) {
        let base = Path::new("/tmp/recall").join(&name);
        let idx = base.join("index");
        let _ = std::fs::remove_dir_all(&idx);
        let index = Index::open(&idx).unwrap();
        let root = base.join("tree");
        let v = index.refresh(&root).unwrap();
        let qs: Vec<Q> = serde_json::from_str(&std::fs::read_to_string(base.join("queries.json")).unwrap()).unwrap();
        let (mut h1, mut h5, mut h10, mut r10) = (0.0, 0.0, 0.0, 0.0);
        let t = std::time::Instant::now();
        for q in &qs {
            let mut paths: Vec<String> = Vec::new();
            for h in index.search(&root, &q.query, 20).unwrap() { if !paths.contains(&h.path) { paths.push(h.path); } }
            paths.truncate(10);
            let hit = |n: usize| paths.iter().take(n).any(|p| q.files.contains(p)) as u32 as f64;
            h1 += hit(1); h5 += hit(5); h10 += hit(10);
            r10 += q.files.iter().filter(|f| paths.contains(f)).count() as f64 / q.files.len() as f64;
        }
        let n = qs.len() as f64;
        println!("{name}: {} files {} ms index; {} queries {:.2} ms each; hit@1 {:.3} @5 {:.3} @10 {:.3} r@10 {:.3}", v.files, v.ms, qs.len(), t.elapsed().as_secs_f64()*1000.0/n, h1/n, h5/n, h10/n, r10/n);
    }
}
