package embedded
import ("testing";"time";"context";"os")
func TestZZ(t *testing.T){
 dir:=t.TempDir()
 b:=time.Now(); lap:=func(n string){t.Log(n,time.Since(b));b=time.Now()}
 s:=start(t,Options{Dir:dir,Parts:Parts{ClickHouse:true}}); lap("start all")
 ctx:=context.Background()
 useClickHouse(t,s.ClickHouse.URL()); lap("use")
  p:=s.ClickHouse
  p.Kill(); lap(" kill"); p.Start(ctx); lap(" start") 
 requireClickHouse(t,s.ClickHouse.URL()); lap("req")
  p.Stop(ctx); lap(" stop"); p.Start(ctx); lap(" start");
 x,_:=os.ReadFile(dir+"/log/clickhouse.log"); t.Log(string(x))
}
