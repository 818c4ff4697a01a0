(()=>{if(!/^(#\/?(now)?)?$/.test(location.hash)||location.search)return;const path=document.currentScript.dataset.first,answer=fetch(path);answer.catch(()=>{}),globalThis.first={path,answer}})();
